"""Messages as types, and dialects that turn them into bytes and back."""
