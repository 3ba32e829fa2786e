"""Which rank learns from which samples, and what each rank is sent. No torch."""
