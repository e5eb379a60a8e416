"""The language operators write: which events matter, and what to ask of OneSignal for them."""
