"""Parts of the kitchen sink application, one module per subject."""
