"""PPO in plain PyTorch, one padded batch per optimizer step: what the engines must reproduce."""

from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from learner.config import LearnerConfig
from learner.trajectory import Trajectory


class ReferencePPO:
    """Full logits, full batch, Python loops over tokens: slow and plain."""

    def __init__(self, config: LearnerConfig, model_dir: Path, temperature: float) -> None:
        self.config, self.temperature = config, temperature
        self.policy, self.frozen, critic = (
            AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32) for _ in range(3)
        )
        self.backbone = critic.model
        self.head = torch.nn.Linear(self.backbone.config.hidden_size, 1)
        torch.nn.init.zeros_(self.head.weight)
        torch.nn.init.zeros_(self.head.bias)
        self.critic_parameters = [*self.backbone.parameters(), *self.head.parameters()]
        self.policy_adam = self._adam(self.policy.parameters(), config.policy)
        self.critic_adam = self._adam(self.critic_parameters, config.critic)

    def update(self, batch: Sequence[Trajectory], orders: Sequence[Sequence[int]]) -> None:
        """One update; `orders` names the samples (by position) of each optimizer step."""
        with torch.no_grad():
            old = [self._logprobs(self.policy, t) for t in batch]
            reference = [self._logprobs(self.frozen, t) for t in batch]
            values = [self._values(t) for t in batch]
        advantages, returns = [], []
        for t, old_logprobs, reference_logprobs, value in zip(
            batch, old, reference, values, strict=True
        ):
            running, found = 0.0, []
            for at in reversed(range(len(t.response_ids))):
                kl = float(old_logprobs[at] - reference_logprobs[at])
                clip = self.config.kl_clip
                step_reward = -self.config.kl_coefficient * max(-clip, min(clip, kl))
                last = at == len(t.response_ids) - 1
                step_reward += t.reward if last else 0.0
                following = 0.0 if last else float(value[at + 1])
                delta = step_reward + self.config.gamma * following - float(value[at])
                running = delta + self.config.gamma * self.config.gae_lambda * running
                found.append(running)
            advantages.append(torch.tensor(found[::-1]))
            returns.append(advantages[-1] + value)
        flat = torch.cat(advantages)
        mean, std = flat.mean(), flat.std(correction=0)
        for samples in orders:
            policy_terms, value_terms, kept, tokens = [], [], 0, 0
            for i in samples:
                ratio = (self._logprobs(self.policy, batch[i]) - old[i]).exp()
                advantage = (advantages[i] - mean) / std
                clipped = ratio.clamp(1 - self.config.clip_low, 1 + self.config.clip_high)
                mask = torch.tensor(batch[i].policy_mask, dtype=torch.bool)
                mask = mask if self.config.fgo else torch.ones_like(mask)
                surrogate = -torch.min(ratio * advantage, clipped * advantage)
                policy_terms.append(surrogate[mask].sum())
                value = self._values(batch[i])
                clip = self.config.value_clip or float("inf")
                near = values[i] + (value - values[i]).clamp(-clip, clip)
                error = torch.max((value - returns[i]) ** 2, (near - returns[i]) ** 2)
                value_terms.append(error.sum() / 2)
                kept, tokens = kept + int(mask.sum()), tokens + len(mask)
            self._step(self.policy_adam, sum(policy_terms) / max(1, kept), self.config.policy)
            self._step(self.critic_adam, sum(value_terms) / max(1, tokens), self.config.critic)

    def _logprobs(self, model, trajectory: Trajectory) -> torch.Tensor:
        logits = model(torch.tensor([trajectory.token_ids])).logits[0, :-1] / self.temperature
        targets = torch.tensor(trajectory.token_ids)[1:, None]
        first = len(trajectory.prompt_ids) - 1
        return logits.log_softmax(-1).gather(-1, targets)[first:, 0]

    def _values(self, trajectory: Trajectory) -> torch.Tensor:
        states = self.backbone(torch.tensor([trajectory.token_ids])).last_hidden_state[0, :-1]
        return self.head(states)[len(trajectory.prompt_ids) - 1 :, 0]

    @staticmethod
    def _adam(parameters, config) -> torch.optim.Optimizer:
        return torch.optim.AdamW(
            parameters, config.lr, config.betas, config.eps, config.weight_decay
        )

    @staticmethod
    def _step(adam: torch.optim.Optimizer, loss: torch.Tensor, config) -> None:
        adam.zero_grad()
        loss.backward()
        parameters = [p for group in adam.param_groups for p in group["params"]]
        torch.nn.utils.clip_grad_norm_(parameters, config.max_grad_norm)
        adam.step()
