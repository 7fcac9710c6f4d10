"""What there is to reconcile: which sessions are due, which were requested, which are tried again, and when."""
