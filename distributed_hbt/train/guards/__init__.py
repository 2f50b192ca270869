"""What watches over the steps: stalls, losses that are not finite, ranks that differ."""
