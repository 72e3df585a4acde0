"""What must happen: features in market words, one folder a use case."""
