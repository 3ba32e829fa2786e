"""PPO in plain PyTorch, one sequence at a time: what the engines must reproduce."""

import math
import statistics
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from learner.config import LearnerConfig
from learner.trajectory import Trajectory


class ReferencePPO:
    """Full logits, one sequence at a time, Python loops over tokens: slow and plain."""

    def __init__(self, config: LearnerConfig, model_dir: Path, temperature: float) -> None:
        self.config, self.temperature = config, temperature
        self.policy, self.frozen, critic = (
            AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32) for _ in range(3)
        )
        self.backbone = critic.model
        self.head = torch.nn.Linear(self.backbone.config.hidden_size, 1)
        torch.nn.init.zeros_(self.head.weight)
        torch.nn.init.zeros_(self.head.bias)
        self.policy_adam = self._adam(self._groups(self.policy), config.policy)
        head = [
            {"params": [self.head.weight], "lr": config.critic.head_lr},
            {"params": [self.head.bias], "lr": config.critic.head_lr, "weight_decay": 0.0},
        ]
        self.critic_adam = self._adam([*self._groups(self.backbone), *head], config.critic)
        self.peaks = {
            adam: [group["lr"] for group in adam.param_groups]
            for adam in (self.policy_adam, self.critic_adam)
        }
        self.updates = 0

    def update(self, batch: Sequence[Trajectory], orders: Sequence[Sequence[int]]) -> None:
        """One update; `orders` names the samples (by position) of each optimizer step."""
        c = self.config
        with torch.no_grad():
            old = [self._logprobs(self.policy, t)[0] for t in batch]
            reference = [self._logprobs(self.frozen, t)[0] for t in batch]
            values = [self._values(t) for t in batch]
        rewards = [self._rewards(*of) for of in zip(batch, old, reference, strict=True)]
        if c.advantage in ("grpo", "dr_grpo", "rloo"):
            advantages = self._group_advantages(batch, rewards)
            returns = values
        else:
            critic = values if c.advantage == "gae" else [torch.zeros_like(v) for v in values]
            lam = c.gae_lambda if c.advantage == "gae" else 1.0
            advantages = [self._gae(r, v, lam) for r, v in zip(rewards, critic, strict=True)]
            returns = [a + v for a, v in zip(advantages, values, strict=True)]
            flat = torch.cat(advantages)
            advantages = [(a - flat.mean()) / flat.std(correction=0) for a in advantages]
        assert c.lr_schedule.updates is not None
        share = 1 - self.updates / c.lr_schedule.updates
        self.updates += 1
        for adam, peaks in self.peaks.items():
            for group, peak in zip(adam.param_groups, peaks, strict=True):
                group["lr"] = share * peak
        for samples in orders:
            terms = {"policy": [], "value": [], "kl": []}
            for i in samples:
                logprobs, entropy = self._logprobs(self.policy, batch[i])
                a, mask = advantages[i], self._mask("policy", batch[i])
                ratio = (logprobs - old[i]).exp()
                if c.loss == "gspo" and mask.any():
                    # The ratio of the response; the gradient of a token goes through its own.
                    mean = (logprobs - old[i])[mask].mean().exp().detach()
                    ratio = mean * (logprobs - logprobs.detach()).exp()
                clipped = ratio.clamp(1 - c.clip_low, 1 + c.clip_high)
                term = torch.min(ratio * a, clipped * a)
                if c.loss == "cispo":
                    term = clipped.detach() * a * logprobs
                if c.dual_clip:
                    term = torch.where(a < 0, torch.max(term, c.dual_clip * a), term)
                if c.importance_cap:
                    behaviour = torch.tensor(batch[i].rollout_logprobs)
                    term = term * (old[i] - behaviour).exp().clamp(max=c.importance_cap)
                term = -term - c.entropy_coefficient * entropy
                terms["policy"].append(term[mask])
                away = logprobs - reference[i]
                estimate = away**2 / 2 if c.kl_estimator == "k2" else (-away).exp() - 1 + away
                terms["kl"].append(estimate.clamp(max=c.kl_clip)[self._mask("kl", batch[i])])
                now = self._values(batch[i])
                clip = c.value_clip or float("inf")
                near = values[i] + (now - values[i]).clamp(-clip, clip)
                error = torch.max((now - returns[i]) ** 2, (near - returns[i]) ** 2) / 2
                terms["value"].append(error[self._mask("value", batch[i])])
            loss = self._mean(terms["policy"])
            if c.kl_in == "loss":
                loss = loss + c.kl_coefficient * self._mean(terms["kl"])
            self._step(self.policy_adam, loss, c.policy)
            if c.advantage == "gae":
                tokens = torch.cat(terms["value"])
                self._step(self.critic_adam, tokens.sum() / max(1, len(tokens)), c.critic)

    def _mean(self, by_sample: Sequence[torch.Tensor]) -> torch.Tensor:
        """The terms of some samples' tokens as one loss."""
        tokens = torch.cat(list(by_sample))
        if self.config.normalisation == "constant":
            assert self.config.max_response_tokens is not None
            return tokens.sum() / len(by_sample) / self.config.max_response_tokens
        if self.config.normalisation == "sequence":
            means = [sample.mean() for sample in by_sample if len(sample)]
            return torch.stack(means).mean() if means else tokens.sum()
        return tokens.sum() / max(1, len(tokens))

    def _mask(self, term: str, trajectory: Trajectory) -> torch.Tensor:
        c, tokens = self.config, []
        for executed, cut in zip(trajectory.executed_mask, trajectory.cut_mask, strict=True):
            kept = executed or c.mask != "fgo" or term not in c.mask_covers
            if term == "policy":
                kept = kept and not (cut and c.cut_away == "mask")
                kept = kept and trajectory.finish_reason != "abort"
                kept = kept and (trajectory.finish_reason, c.truncated) != ("length", "mask")
            tokens.append(kept)
        return torch.tensor(tokens, dtype=torch.bool)

    def _reward(self, trajectory: Trajectory) -> float:
        """Less the penalty of a long response (DAPO, eq. 13)."""
        c, penalty = self.config, 0.0
        if c.truncated == "penalise":
            assert c.max_response_tokens is not None
            longest, buffer = c.max_response_tokens, c.overlong_share * c.max_response_tokens
            if trajectory.finish_reason == "length":
                penalty = 1.0
            elif len(trajectory.response_ids) > longest - buffer:
                penalty = (len(trajectory.response_ids) - (longest - buffer)) / buffer
        return trajectory.reward - c.overlong_penalty * penalty

    def _rewards(
        self, trajectory: Trajectory, old: torch.Tensor, reference: torch.Tensor
    ) -> list[float]:
        c, actual = self.config, []
        for at, penalised in enumerate(self._mask("kl", trajectory).tolist()):
            away = float(old[at] - reference[at])
            kl = {"k1": away, "k2": away**2 / 2, "k3": math.exp(-away) - 1 + away}[c.kl_estimator]
            kl = max(-c.kl_clip, min(c.kl_clip, kl))
            actual.append(-c.kl_coefficient * kl if penalised and c.kl_in == "reward" else 0.0)
        if actual:
            actual[-1] += self._reward(trajectory)
        return actual

    def _gae(self, rewards: list[float], values: torch.Tensor, lam: float) -> torch.Tensor:
        running, actual = 0.0, []
        for at in reversed(range(len(rewards))):
            following = 0.0 if at == len(rewards) - 1 else float(values[at + 1])
            delta = rewards[at] + self.config.gamma * following - float(values[at])
            running = delta + self.config.gamma * lam * running
            actual.append(running)
        return torch.tensor(actual[::-1])

    def _group_advantages(
        self, batch: Sequence[Trajectory], rewards: Sequence[list[float]]
    ) -> list[torch.Tensor]:
        actual = []
        for i, trajectory in enumerate(batch):
            group = [j for j, t in enumerate(batch) if t.prompt_ids == trajectory.prompt_ids]
            scores = {j: sum(rewards[j]) if rewards[j] else self._reward(batch[j]) for j in group}
            if self.config.advantage == "grpo":
                spread = statistics.pstdev(scores.values()) + 1e-6
                advantage = (scores[i] - statistics.fmean(scores.values())) / spread
            elif self.config.advantage == "dr_grpo":
                advantage = scores[i] - statistics.fmean(scores.values())
            else:
                others = [scores[j] for j in group if j != i]
                advantage = scores[i] - statistics.fmean(others) if others else 0.0
            actual.append(torch.full((len(rewards[i]),), advantage))
        return actual

    def _logprobs(self, model, trajectory: Trajectory) -> tuple[torch.Tensor, torch.Tensor]:
        logits = model(torch.tensor([trajectory.token_ids])).logits[0, :-1] / self.temperature
        targets = torch.tensor(trajectory.token_ids)[1:, None]
        first = len(trajectory.prompt_ids) - 1
        logprobs = logits.log_softmax(-1)
        entropy = -(logprobs.exp() * logprobs).sum(-1)
        return logprobs.gather(-1, targets)[first:, 0], entropy[first:]

    def _values(self, trajectory: Trajectory) -> torch.Tensor:
        states = self.backbone(torch.tensor([trajectory.token_ids])).last_hidden_state[0, :-1]
        return self.head(states)[len(trajectory.prompt_ids) - 1 :, 0]

    @staticmethod
    def _groups(model) -> list[dict]:
        """Norms and embeddings do not decay; a Llama has no biases."""
        spared = [p for n, p in model.named_parameters() if "norm" in n or "embed" in n]
        decayed = [p for n, p in model.named_parameters() if "norm" not in n and "embed" not in n]
        return [{"params": decayed}, {"params": spared, "weight_decay": 0.0}]

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
