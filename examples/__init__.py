"""What it looks like: profiles, each executed by a test."""
