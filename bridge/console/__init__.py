"""What an operator touches in a running bridge: the JSON API (and, over it, the console)."""
