"""Encoders as folders that other libraries read: sentence-transformers, or plain Hugging Face."""
