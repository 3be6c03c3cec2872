"""References by another author: logits of HF transformers, for the tests to hold ours against."""
