"""Programs that build every file of `spec/vectors`, byte for byte the same each time."""
