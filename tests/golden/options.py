"""Writes options.json: losses and optimizers of PyTorch with each of their options, in double precision. Needs PyTorch."""

import json
import pathlib

import torch
import torch.nn.functional as F

torch.manual_seed(0)
torch.set_default_dtype(torch.float64)
losses = []


def loss(kind, settings, reduction, of, target, rows=5, columns=4):
    x = (torch.randn(rows, columns) * 3).requires_grad_()
    value = of(x, target)
    upstream = torch.randn_like(value) if reduction == 'none' else torch.ones(())
    (value * upstream).sum().backward()
    losses.append({
        'kind': kind, 'settings': settings, 'reduction': reduction, 'rows': rows, 'columns': columns,
        'x': x.flatten().tolist(), 'target': target.flatten().tolist(), 'upstream': upstream.flatten().tolist(),
        'loss': value.flatten().tolist(), 'dx': x.grad.flatten().tolist(),
    })


for reduction in ['mean', 'sum', 'none']:
    r = {'reduction': reduction}
    y = torch.randn(5, 4) * 3
    loss('mse', {}, reduction, lambda x, y: F.mse_loss(x, y, **r), y)
    loss('l1', {}, reduction, lambda x, y: F.l1_loss(x, y, **r), y)
    for delta in [0.3, 1.0, 2.5]:
        loss('huber', {'delta': delta}, reduction, lambda x, y: F.huber_loss(x, y, delta=delta, **r), y)
    for beta in [0.0, 0.3, 1.0, 2.5]:
        loss('smoothL1', {'beta': beta}, reduction, lambda x, y: F.smooth_l1_loss(x, y, beta=beta, **r), y)
    share = torch.rand(5, 4)
    bce = F.binary_cross_entropy_with_logits
    loss('bceWithLogits', {}, reduction, lambda x, y: bce(x, y, **r), share)
    weight = torch.rand(4) * 3
    loss('bceWithLogits', {'posWeight': weight.tolist()}, reduction, lambda x, y: bce(x, y, pos_weight=weight, **r), share)
    classes = torch.randint(0, 4, (5,))
    classes[2] = -100
    weights = torch.rand(4) + 0.2
    for smoothing in [0.0, 0.1, 0.7]:
        for own in [None, weights]:
            settings = {'labelSmoothing': smoothing, **({} if own is None else {'weights': own.tolist()})}
            loss('crossEntropy', settings, reduction,
                 lambda x, y: F.cross_entropy(x, y, weight=own, label_smoothing=smoothing, **r), classes)

NAMES = {'learningRate': 'lr', 'weightDecay': 'weight_decay', 'epsilon': 'eps'}
CLASSES = {'sgd': 'SGD', 'rmsprop': 'RMSprop', 'adam': 'Adam', 'adamw': 'AdamW', 'adagrad': 'Adagrad'}
start = torch.rand(6) * 2 - 1
slopes = [torch.rand(6) * 2 - 1 for _ in range(12)]
optimizers = []
for settings in [
    {'optimizer': 'sgd', 'learningRate': 0.1},
    {'optimizer': 'sgd', 'learningRate': 0.1, 'momentum': 0.9},
    {'optimizer': 'sgd', 'learningRate': 0.1, 'momentum': 0.9, 'dampening': 0.3, 'weightDecay': 0.1},
    {'optimizer': 'sgd', 'learningRate': 0.1, 'momentum': 0.8, 'nesterov': True},
    {'optimizer': 'rmsprop', 'learningRate': 0.01},
    {'optimizer': 'rmsprop', 'learningRate': 0.01, 'alpha': 0.9, 'epsilon': 1e-5, 'weightDecay': 0.1},
    {'optimizer': 'rmsprop', 'learningRate': 0.01, 'centered': True},
    {'optimizer': 'rmsprop', 'learningRate': 0.01, 'momentum': 0.9},
    {'optimizer': 'rmsprop', 'learningRate': 0.01, 'momentum': 0.9, 'centered': True},
    {'optimizer': 'adam', 'learningRate': 0.01},
    {'optimizer': 'adam', 'learningRate': 0.01, 'beta1': 0.8, 'beta2': 0.95, 'epsilon': 1e-4, 'weightDecay': 0.1},
    {'optimizer': 'adam', 'learningRate': 0.01, 'amsgrad': True},
    {'optimizer': 'adamw', 'learningRate': 0.01},
    {'optimizer': 'adamw', 'learningRate': 0.01, 'weightDecay': 0.3, 'amsgrad': True},
    {'optimizer': 'adagrad', 'learningRate': 0.1},
    {'optimizer': 'adagrad', 'learningRate': 0.1, 'epsilon': 1e-3, 'weightDecay': 0.1},
]:
    options = {NAMES.get(k, k): v for k, v in settings.items() if k not in ('optimizer', 'beta1', 'beta2')}
    if 'beta1' in settings:
        options['betas'] = (settings['beta1'], settings['beta2'])
    p = start.clone().requires_grad_()
    optimizer = getattr(torch.optim, CLASSES[settings['optimizer']])([p], **options)
    path = []
    for slope in slopes:
        p.grad = slope.clone()
        optimizer.step()
        path.append(p.detach().tolist())
    optimizers.append({'settings': settings, 'path': path})

pathlib.Path(__file__).with_name('options.json').write_text(json.dumps({
    'torch': torch.__version__, 'losses': losses, 'start': start.tolist(),
    'slopes': [s.tolist() for s in slopes], 'optimizers': optimizers,
}))
