"""Frozen, strict, nested run configuration: YAML + `key=value` overrides."""
