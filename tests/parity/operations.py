"""Compares the exports of `ksdsl/tests/data/operations.ksn` with formulas, in double precision.

    python tests/parity/operations.py target/debug/ksn

`lin` is PyTorch's rule without `align_corners`: output pixel i lies at (i + 1/2) / factor - 1/2, within the map.
"""

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path
import torch
import torch.nn.functional as F

torch.manual_seed(0)
KSN = sys.argv[1]
NETS = Path(__file__).parents[2] / 'ksdsl/tests/data/operations.ksn'
FOLDER = Path(tempfile.mkdtemp())

def load(net):
    text = subprocess.run([KSN, 'export', 'pytorch', str(NETS), '--net', net], capture_output=True, text=True, check=True).stdout
    (FOLDER / f'{net}.py').write_text(text)
    spec = importlib.util.spec_from_file_location(net, FOLDER / f'{net}.py')
    m = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(m)
    cls = [v for k, v in vars(m).items() if isinstance(v, type) and k.lower().replace('_', '') == net.replace('_', '')][0]
    model = cls().double()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.3 * torch.randn_like(p))
    return model
m = load('operations')
s = m.state_dict()
x = torch.randn(3, 4, 6, 5, dtype=torch.float64)

def rms(x, w, eps):
    return x / torch.sqrt((x * x).mean(1, keepdim=True) + eps) * w.view(1, -1, *[1] * (x.dim() - 2))

def gn(x, g, w, b, eps):
    y = x.reshape(x.shape[0], g, -1)
    mu = y.mean(2, keepdim=True)
    v = ((y - mu) ** 2).mean(2, keepdim=True)
    y = ((y - mu) / torch.sqrt(v + eps)).reshape(x.shape)
    sh = (1, -1, *[1] * (x.dim() - 2))
    return y * w.view(sh) + b.view(sh)

def lrelu(x, a):
    return torch.where(x > 0, x, a * x)

def elu(x, a):
    return torch.where(x > 0, x, a * (torch.exp(x) - 1))

def near(x, k):
    return x.repeat_interleave(k, 2).repeat_interleave(k, 3)

def lin(x, k, d):
    n = x.shape[d]
    o = (torch.arange(n * k, dtype=torch.float64) + 0.5) / k - 0.5
    o = o.clamp(0, n - 1)
    i = o.floor().long()
    j = (i + 1).clamp(max=n - 1)
    f = o - i
    sh = [1] * 4
    sh[d] = -1
    f = f.view(sh)
    return x.index_select(d, i) * (1 - f) + x.index_select(d, j) * f
y = F.conv2d(x, s['conv.weight'], padding=1)
y = gn(y, 4, s['group_norm.weight'], s['group_norm.bias'], 1e-05)
y = lrelu(y, 0.01)
y = gn(y, 2, s['g.weight'], s['g.bias'], 0.01)
y = lrelu(y, 0.2)
y = rms(y, s['rms_norm.weight'], 1e-06)
y = torch.tanh(y)
y = rms(y, s['r.weight'], 0.5)
y = elu(y, 1.0)
y = near(y, 2)
y = torch.log1p(torch.exp(y))
y = lin(lin(y, 3, 2), 3, 3)
y = elu(y, 0.5)
y = y.mean((2, 3))
y = gn(y, 2, s['group_norm_2.weight'], s['group_norm_2.bias'], 1e-05)
y = rms(y, s['rms_norm_2.weight'], 1e-06)
y = y @ s['linear.weight'].T + s['linear.bias']
print('operations', (m(x) - y).abs().max().item(), y.abs().max().item())
assert (m(x) - y).abs().max() < 1e-12
m = load('joins')
s = m.state_dict()
y = F.conv2d(x, s['conv.weight'], padding=1) - x
q = rms(F.conv2d(y, s['query.weight']), s['rms_norm.weight'], 1e-06)
k = rms(F.conv2d(y, s['pointwise.weight']), s['rms_norm_2.weight'], 1e-06)
out = []
for h in (slice(0, 2), slice(2, 4)):
    Q, K, V = [t[:, h].flatten(2) for t in (q, k, y)]
    A = torch.softmax(torch.einsum('bci,bcj->bij', Q, K) / 2 ** 0.5, 2)
    out.append(torch.einsum('bij,bcj->bci', A, V).reshape(3, 2, 6, 5))
y = torch.cat(out, 1).mean((2, 3))
y = y - torch.tanh(y @ s['linear.weight'].T + s['linear.bias'])
print('joins', (m(x) - y).abs().max().item())
assert (m(x) - y).abs().max() < 1e-12
m = load('shared_norms')
s = m.state_dict()
y = x
for i in range(4):
    h = F.conv2d(y, s['shared.s_conv.weight'], padding=1)
    h = lrelu(gn(h, 2, s['shared.s_group_norm.weight'], s['shared.s_group_norm.bias'], 1e-05), 0.01)
    y = y + rms(h, s['shared.s_n.weight'], 1e-06)
for i in range(3):
    g = '0' if i < 2 else '1'
    y = F.conv2d(y, s[f't.{i}.pointwise.weight'])
    y = gn(y, 2, s[f'shared.t_group_norm.{g}.weight'], s[f'shared.t_group_norm.{g}.bias'], 1e-05)
    y = rms(y, s['shared.r.weight'], 1e-06)
y = y.mean((2, 3)) @ s['linear.weight'].T + s['linear.bias']
print('shared', (m(x) - y).abs().max().item())
assert (m(x) - y).abs().max() < 1e-12
