"""What an operator touches in a running bridge: the JSON API, the console (`web`), and what both show (`views`)."""
