"""`shoal demo`: a real cluster of agent processes that forms, loses members and heals before one's eyes."""
