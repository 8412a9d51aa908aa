"""Workers in numbers: launching them in batches, watching them, taking their reports."""
