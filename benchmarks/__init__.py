"""Scripts that measure and train; one script a question."""
