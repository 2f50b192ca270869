"""What of mining any worker may do: each job makes one file from what it names, as those of evaluation."""
