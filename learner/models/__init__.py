"""Policy, reference and critic as PyTorch modules. No DeepSpeed."""
