"""A chat server: one program per channel, any number of clients, and a page for the browser."""
