# SPDX-License-Identifier: Apache-2.0
"""Sequence mixers and feed-forward layers, each in two forms that must agree.

`parallel` sees all T rows of a sequence at once (matrices, convolutions, masks);
`step` sees one row and advances a state. Both share the projections. Rows are [T,D],
heads are [T,H,d]; the type of the weights is the type of the arithmetic.
"""
import math

import torch
import torch.nn.functional as F


def softplus(x):
    return torch.where(x > 20, x, torch.log1p(torch.exp(x.clamp(max=20))))


def gelu(x):
    return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))


def gelu_tanh(x):
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x ** 3)))


def silu(x):
    return x * torch.sigmoid(x)


def causal_mask(length, device):
    return torch.ones(length, length, dtype=torch.bool, device=device).tril()


def lag_matrix(kernel):
    """kernel [C,T] -> [C,T,T] with entry [c,t,j] = kernel[c,t-j] for j <= t, else 0."""
    length = kernel.shape[-1]
    rows = torch.arange(length, device=kernel.device)
    lag = rows[:, None] - rows[None, :]
    return kernel[:, lag.clamp(min=0)] * (lag >= 0)


def convolve(kernel, x):
    """Causal convolution: kernel [C,T], x [T,C] -> [T,C]."""
    return torch.einsum("ctj,jc->tc", lag_matrix(kernel), x)


class Linear:
    def __init__(self, weight, bias=None):
        self.weight, self.bias = weight, bias

    def __call__(self, x):
        y = x @ self.weight.T
        return y if self.bias is None else y + self.bias


class RmsNorm:
    def __init__(self, weight, eps):
        self.weight, self.eps = weight, eps

    def __call__(self, x):
        return self.weight * x / torch.sqrt((x * x).mean(-1, keepdim=True) + self.eps)


class LayerNorm:
    def __init__(self, weight, bias):
        self.weight, self.bias = weight, bias

    def __call__(self, x):
        x = x - x.mean(-1, keepdim=True)
        return self.weight * x / torch.sqrt((x * x).mean(-1, keepdim=True) + 1e-5) + self.bias


class Mixer:
    """run() is parallel when no state is given, else it takes one row and advances."""

    def run(self, u, positions, state=None):
        if state is None:
            return self.parallel(u, positions)
        return self.step(u, positions, state)

    def start(self):
        return {}


class SwiGlu(Mixer):
    def __init__(self, gate, up, down):
        self.gate, self.up, self.down = gate, up, down

    def run(self, u, positions, state=None):
        return self.down(silu(self.gate(u)) * self.up(u))


class GeluMlp(Mixer):
    def __init__(self, fc1, fc2):
        self.fc1, self.fc2 = fc1, fc2

    def run(self, u, positions, state=None):
        return self.fc2(gelu_tanh(self.fc1(u)))


class Attention(Mixer):
    """Causal softmax attention with grouped key/value heads (arXiv 2305.13245)."""

    def __init__(self, projections, heads, kv_heads, head_dim, rope=None, logit_scale=None):
        self.q, self.k, self.v, self.o = projections
        self.heads, self.kv_heads, self.head_dim = heads, kv_heads, head_dim
        self.rope, self.logit_scale = rope, logit_scale

    def project(self, u, positions):
        """q, k, v, each [T,H,hd]: query head h reads key/value head floor(h*K/H)."""
        q, k, v = (f(u).reshape(len(u), -1, self.head_dim) for f in (self.q, self.k, self.v))
        if self.rope is not None:
            q, k = self.rope.rotate(q, positions), self.rope.rotate(k, positions)
        if self.logit_scale is None:
            q = q / math.sqrt(self.head_dim)
        else:  # cosine scores, the temperature capped at 100 (arXiv 2111.09883, 3.3)
            tau = torch.exp(self.logit_scale.clamp(max=math.log(100)))
            q, k = unit(q) * tau[:, None], unit(k)
        reads = torch.arange(self.heads) * self.kv_heads // self.heads
        return q, k[:, reads], v[:, reads]

    def parallel(self, u, positions):
        q, k, v = self.project(u, positions)
        scores = torch.einsum("thd,shd->hts", q, k)
        scores = scores.masked_fill(~causal_mask(len(u), u.device), -math.inf)
        y = torch.einsum("hts,shd->thd", torch.softmax(scores, dim=-1), v)
        return self.o(y.flatten(1))

    def start(self):
        return {"k": [], "v": []}

    def step(self, u, positions, state):
        q, k, v = self.project(u, positions)
        state["k"].append(k)
        state["v"].append(v)
        k, v = torch.cat(state["k"]), torch.cat(state["v"])
        weight = torch.softmax(torch.einsum("thd,shd->hts", q, k), dim=-1)
        return self.o(torch.einsum("hts,shd->thd", weight, v).flatten(1))


def unit(x):
    return x / x.norm(dim=-1, keepdim=True).clamp(min=1e-6)


class Ssd(Mixer):
    """State-space duality with rotated C and B (arXiv 2506.09507; 2405.21060)."""

    def __init__(self, projections, dt_bias, decay, heads, rope=None):
        self.c, self.b, self.x, self.dt, self.out = projections
        self.dt_bias, self.decay, self.heads, self.rope = dt_bias, decay, heads, rope

    def project(self, u, positions):
        """c, b [T,H,N], x [T,H,P], dt [T,H]."""
        c, b, x = (f(u).reshape(len(u), self.heads, -1) for f in (self.c, self.b, self.x))
        if self.rope is not None:
            c, b = self.rope.rotate(c, positions), self.rope.rotate(b, positions)
        dt = self.dt(u)
        return c, b, x, softplus(dt if self.dt_bias is None else dt + self.dt_bias)

    def parallel(self, u, positions):
        """Y = (L * C B^T)(dt X), L_ts = exp(sum of dt*A over s+1..t): 2405.21060, eq. 16."""
        c, b, x, dt = self.project(u, positions)
        total = torch.cumsum(dt * self.decay, 0).T  # [H,T]
        gap = total[:, :, None] - total[:, None, :]
        gap = gap.masked_fill(~causal_mask(len(u), u.device), -math.inf)
        scores = torch.einsum("thn,shn->hts", c, b) * torch.exp(gap)
        return self.out(torch.einsum("hts,shp->thp", scores, dt[..., None] * x).flatten(1))

    def start(self):
        return {"s": 0.0}

    def step(self, u, positions, state):
        c, b, x, dt = (part[0] for part in self.project(u, positions))
        fresh = torch.einsum("hp,hn->hpn", dt[:, None] * x, b)
        state["s"] = torch.exp(dt * self.decay)[:, None, None] * state["s"] + fresh
        return self.out(torch.einsum("hpn,hn->hp", state["s"], c).reshape(1, -1))


class Dss(Mixer):
    """Gated diagonal state space (arXiv 2206.13947, figure 1; DSS-exp of 2203.14343)."""

    def __init__(self, projections, norm, lam, out_matrix, skip):
        """lam [N] and out_matrix [C,N] are complex; skip [C] is real."""
        self.v, self.u, self.c, self.o = projections
        self.norm, self.skip, self.lam = norm, skip, lam
        self.read = out_matrix * (torch.exp(lam) - 1) / lam

    def project(self, n):
        return gelu(self.v(n)), self.norm(gelu(self.u(n)))

    def finish(self, y, s, gate):
        return self.o(self.c(y + self.skip * s) * gate)

    def kernel(self, length):
        """[C,T]: response of the recurrence to an impulse."""
        lags = torch.arange(length, device=self.lam.device)
        return (self.read @ torch.exp(self.lam[:, None] * lags)).real

    def parallel(self, u, positions):
        gate, s = self.project(u)
        return self.finish(convolve(self.kernel(len(u)), s), s, gate)

    def start(self):
        return {"q": 0.0}

    def step(self, u, positions, state):
        gate, s = self.project(u)
        state["q"] = torch.exp(self.lam) * state["q"] + s[0][:, None]  # [C,N]
        return self.finish((self.read * state["q"]).sum(-1).real[None], s, gate)


class Gated(Mixer):
    """PHA's equation 2 with a diagonal A (arXiv 2606.16093)."""

    def __init__(self, gate, b, f, o, a_log):
        self.gate, self.b, self.f, self.o = gate, b, f, o
        self.log_a = -torch.exp(a_log)

    def project(self, n):
        return self.gate(n), self.b(n), silu(self.f(n))

    def parallel(self, u, positions):
        """h_t = sum over j of (product of g*a over j+1..t) g_j b_j, in logarithms."""
        gate, b, out_gate = self.project(u)
        total = torch.cumsum(F.logsigmoid(gate) + self.log_a, 0)  # [T,S]
        gap = total[:, None] - total[None, :]
        gap = gap.masked_fill(~causal_mask(len(u), u.device)[..., None], -math.inf)
        return self.o(out_gate * (torch.exp(gap) * (torch.sigmoid(gate) * b)).sum(1))

    def start(self):
        return {"h": 0.0}

    def step(self, u, positions, state):
        gate, b, out_gate = self.project(u)
        state["h"] = torch.sigmoid(gate) * (torch.exp(self.log_a) * state["h"] + b)
        return self.o(out_gate * state["h"])


class H3(Mixer):
    """Shift SSM, diagonal SSM and two products (arXiv 2212.14052, section 3.1)."""

    def __init__(self, projections, shift, diagonal):
        """shift: B, C [D,N] and skip [D]. diagonal: C, B, A [D,N/2] complex, dt, skip [D]."""
        self.q, self.k, self.v, self.o = projections
        self.shift_b, self.shift_c, self.shift_skip = shift
        self.c, b, a, dt, self.skip = diagonal
        half = dt[:, None] * a / 2  # bilinear transform
        self.a_bar, self.b_bar = (1 + half) / (1 - half), dt[:, None] * b / (1 - half)

    def shift_kernel(self):
        """[D,N]: tap j is the sum over n >= j of C[n] B[n-j]."""
        n = self.shift_b.shape[1]
        taps = [(self.shift_c[:, j:] * self.shift_b[:, :n - j]).sum(1) for j in range(n)]
        return torch.stack(taps, 1)

    def diagonal_kernel(self, length):
        lags = torch.arange(length, device=self.skip.device)
        powers = self.a_bar[..., None] ** lags  # [D,N/2,T]
        return 2 * torch.einsum("dn,dnt->dt", self.c * self.b_bar, powers).real

    def parallel(self, u, positions):
        q, k, v = self.q(u), self.k(u), self.v(u)
        taps = F.pad(self.shift_kernel(), (0, len(u)))[:, :len(u)]
        z = (convolve(taps, k) + self.shift_skip * k) * v
        return self.o(q * (convolve(self.diagonal_kernel(len(u)), z) + self.skip * z))

    def start(self):
        return {"p": torch.zeros_like(self.shift_b), "s": torch.zeros_like(self.a_bar)}

    def step(self, u, positions, state):
        q, k, v = self.q(u)[0], self.k(u)[0], self.v(u)[0]
        moved = F.pad(state["p"][:, :-1], (1, 0))
        state["p"] = moved + self.shift_b * k[:, None]
        z = ((self.shift_c * state["p"]).sum(1) + self.shift_skip * k) * v
        state["s"] = self.a_bar * state["s"] + self.b_bar * z[:, None]
        y = 2 * (self.c * state["s"]).sum(1).real + self.skip * z
        return self.o((q * y)[None])


class Hedgehog(Attention):
    """Linear attention with a learned spiky feature map (arXiv 2402.04347, eq. 6)."""

    def __init__(self, projections, heads, kv_heads, head_dim, rope, map_q, map_k):
        super().__init__(projections, heads, kv_heads, head_dim, rope)
        self.q_unscaled = math.sqrt(head_dim)  # project() divides; no 1/sqrt(hd) here
        self.map_q, self.map_k = map_q, map_k

    def features(self, u, positions):
        q, k, v = self.project(u, positions)
        return spread(q * self.q_unscaled, self.map_q), spread(k, self.map_k), v

    def rows(self, q, k):
        """The attention matrix [H,T,T] that the recurrence implies."""
        scores = torch.einsum("thf,shf->hts", q, k) * causal_mask(len(q), q.device)
        return scores / (scores.sum(-1, keepdim=True) + 1e-12)

    def parallel(self, u, positions):
        q, k, v = self.features(u, positions)
        return self.o(torch.einsum("hts,shd->thd", self.rows(q, k), v).flatten(1))

    def start(self):
        return {"s": 0.0, "n": 0.0}

    def step(self, u, positions, state):
        q, k, v = (part[0] for part in self.features(u, positions))
        state["s"] = state["s"] + torch.einsum("hf,hd->hfd", k, v)
        state["n"] = state["n"] + k
        top, bottom = torch.einsum("hf,hfd->hd", q, state["s"]), (q * state["n"]).sum(-1)
        return self.o((top / (bottom[:, None] + 1e-12)).reshape(1, -1))


def spread(x, weight):
    """x [T,H,hd], weight [H,hd,f] -> positive features [T,H,2f]."""
    y = torch.einsum("thd,hdf->thf", x, weight)
    return torch.cat([y.softmax(-1), (-y).softmax(-1)], -1).clamp(min=1e-12)
