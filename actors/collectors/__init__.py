"""The collectors: prompts in, groups of judged samples out, without the driver."""
