"""The language we speak: what can be asked of OneSignal, and what its answers mean."""
