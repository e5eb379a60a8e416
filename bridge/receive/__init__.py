"""HTTP in: verify, journal, answer; nothing else happens before the 200."""
