"""Searches for hidden triggers, and what their findings mean beside clean twins."""
