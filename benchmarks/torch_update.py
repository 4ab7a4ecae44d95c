"""One FAN update in PyTorch, as somebody without fan-dist would write it; `compare` times it.

Losses, networks, optimiser and target update are the same as fan-dist's. It runs in eager mode with fused Adam, and
computes ensembles as batched products. Under torchrun it uses DistributedDataParallel over gloo and splits the batch over
the processes.
"""

import argparse
import json
import os
import statistics
import time

import torch
import torch.distributed
from torch import nn

parser = argparse.ArgumentParser()
parser.add_argument("--batch-size", type=int, default=256)
parser.add_argument("--observation-size", type=int, default=37)
parser.add_argument("--action-size", type=int, default=5)
parser.add_argument("--hidden", default="512,512,512,512")
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--seconds", type=float, default=3.0, help="time to measure for")
options = parser.parse_args()

torch.set_num_threads(options.threads)
torch.manual_seed(0)
ranks = int(os.environ.get("WORLD_SIZE", "1"))
if ranks > 1:
    torch.distributed.init_process_group("gloo")
hidden = [int(width) for width in options.hidden.split(",")]
O, A, B = options.observation_size, options.action_size, options.batch_size // ranks
GAMMA, EXPECTILE, ALPHA1, ALPHA2, TAU = 0.995, 0.9, 10.0, 10.0, 0.005


class Network(nn.Module):
    """Layers of dense, GELU and layer norm; `members` independent networks on the same input."""

    def __init__(self, inputs, outputs, norm, members):
        super().__init__()
        sizes = [inputs, *hidden, outputs]
        self.members = members
        self.weights = nn.ParameterList(
            nn.init.xavier_uniform_(nn.Parameter(torch.empty(members, m, n))) for m, n in zip(sizes, sizes[1:])
        )
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(members, 1, n)) for n in sizes[1:])
        self.scales = nn.ParameterList(nn.Parameter(torch.ones(members, 1, n)) for n in hidden if norm)
        self.shifts = nn.ParameterList(nn.Parameter(torch.zeros(members, 1, n)) for n in hidden if norm)

    def forward(self, *parts, frozen=False):
        use = torch.detach if frozen else (lambda tensor: tensor)
        x = torch.cat(parts, -1).expand(self.members, -1, -1)
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases)):
            x = torch.baddbmm(use(bias), x, use(weight))
            if layer < len(hidden):
                x = nn.functional.gelu(x, approximate="tanh")
                if len(self.scales):
                    x = nn.functional.layer_norm(x, x.shape[-1:], eps=1e-6)
                    x = x * use(self.scales[layer]) + use(self.shifts[layer])
        return x


class Losses(nn.Module):
    def __init__(self):
        super().__init__()
        self.flow = Network(O + A + 1, A, False, 1)
        self.policy = Network(O + A, A, False, 1)
        self.critic = Network(O + 2 * A, 1, True, 2)
        self.critic_z = Network(O + A, 1, True, 2)

    def forward(self, target, s, a, s2, r, mask):
        noise, times = [torch.randn(B, A) for _ in range(5)], [torch.rand(B, 1) for _ in range(3)]
        with torch.no_grad():
            a2 = self.policy(s2, noise[0])[0].clamp(-1, 1)
            x = torch.lerp(noise[0], a2, times[0])
            br = (a2 - noise[0] - self.flow(s2, x, times[0])[0]).square().sum(-1)
            y = r + GAMMA * mask * (self.critic_z(s2, a2)[..., 0].mean(0) - ALPHA2 * br)
            y_z = target(s, a, noise[1])[..., 0].mean(0)
        q_loss = (self.critic(s, a, noise[0])[..., 0] - y).square().mean()
        d = y_z - self.critic_z(s, a)[..., 0]
        z_loss = (torch.where(d >= 0, EXPECTILE, 1 - EXPECTILE) * d.square()).mean()
        velocity = self.flow(s, torch.lerp(noise[2], a, times[1]), times[1])[0]
        flow_loss = (velocity - (a - noise[2])).square().mean()
        pi = self.policy(s, noise[3])[0]
        x = torch.lerp(noise[3], pi, times[2])
        br_loss = (pi - noise[3] - self.flow(s, x, times[2], frozen=True)[0]).square().mean()
        clipped = pi.clamp(-1, 1)
        q = self.critic(s, clipped, noise[4], frozen=True).mean()
        z = self.critic_z(s, clipped, frozen=True).mean()
        return q_loss + z_loss + flow_loss + ALPHA1 * br_loss - q - z


losses = Losses()
target = Network(O + 2 * A, 1, True, 2)
target.load_state_dict(losses.critic.state_dict())
target.requires_grad_(False)
step_losses = nn.parallel.DistributedDataParallel(losses) if ranks > 1 else losses
optimiser = torch.optim.Adam(losses.parameters(), 3e-4, fused=True)
batch = (torch.randn(B, O), torch.rand(B, A) * 2 - 1, torch.randn(B, O), -torch.ones(B), torch.ones(B))


def update():
    before = [p.detach().clone() for p in losses.critic.parameters()]
    optimiser.zero_grad(set_to_none=False)
    step_losses(target, *batch).backward()
    optimiser.step()
    torch._foreach_lerp_(list(target.parameters()), before, TAU)


def act():
    with torch.no_grad():
        losses.policy(batch[0][:1], torch.randn(1, A))[0].clamp(-1, 1)


def milliseconds(work, seconds):
    work(), work(), work()
    start = time.perf_counter()
    work()
    count = torch.tensor(max(3, int(seconds / 5 / (time.perf_counter() - start))))
    if ranks > 1:
        torch.distributed.broadcast(count, 0)
    times = []
    for _ in range(5):
        if ranks > 1:
            torch.distributed.barrier()
        start = time.perf_counter()
        for _ in range(int(count)):
            work()
        times.append((time.perf_counter() - start) / int(count))
    return 1e3 * statistics.median(times)


result = {"name": f"PyTorch {torch.__version__}", "update": milliseconds(update, options.seconds)}
if ranks == 1:
    result["action"] = milliseconds(act, 0.5)
if int(os.environ.get("RANK", "0")) == 0:
    print(json.dumps(result))
if ranks > 1:
    # No process closes the connections while another one still uses them.
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
