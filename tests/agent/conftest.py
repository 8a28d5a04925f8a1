from tests.agent.fixtures import agents, pair

__all__ = ["agents", "pair"]
