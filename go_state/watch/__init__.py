"""Watching: values of which everybody sees the newest, and nobody a backlog."""
