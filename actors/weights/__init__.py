"""The weight broadcast from the learner to every rollout engine."""
