"""Hard negatives for training, through the encoding and search of the evaluation (`hbt mine`)."""
