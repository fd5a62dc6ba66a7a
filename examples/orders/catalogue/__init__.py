"""The service that knows what is sold, and how much of it is there."""
