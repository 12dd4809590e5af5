"""Variants for networks with learned masks: the sweep of lambda (Versatile Filters, Figure 4b), and faster masks.

lambda weighs the orthogonality of the masks in the loss (Eq. 14); the paper tunes it from 0.001 to 10 and settles on
0.1, which is the protocol itself. lambda0 is ours: masks that the task alone moves. `maskscale` is ours as well: the
learning rate of the agents H in multiples of the weights' (30 in the protocol itself).

Under the rule "clipped" the gradient of the penalty, whose sign never changes while a mask stays, piles up in H and
carries it to 0 or 1, where nothing but the task's much noisier gradient could call it back: with lambda = 0.1 masks
soon stop changing, and the faster H moves, the sooner. So the faster masks come with a small lambda or none, too.
"""

_models = ["*_l_versatile_*_s[0-9]", "*_l_versatile_*_s[0-9][0-9]", "*_l_versatile_*_literal"]
_lambda = {
    f"lambda{weight:g}": dict(
        description=f"orthogonality of the masks weighs {weight:g} instead of 0.1",
        changes={"custom_hooks.VersatileMaskHook.weight": weight},
        models=_models,
    )
    for weight in (0, 0.001, 0.01, 1, 10)
}
_scale = {
    f"maskscale{scale:g}": dict(
        description=f"learning rate of the masks' agents {scale:g} times the weights' instead of 30",
        changes={"custom_hooks.VersatileMaskHook.mask_lr_scale": float(scale)},
        models=_models,
    )
    for scale in (1, 300)
}
_both = {
    f"{fast}-{weak}": dict(
        description=f"{_scale[fast]['description']}; {_lambda[weak]['description']}",
        changes={**_scale[fast]["changes"], **_lambda[weak]["changes"]},
        models=_models,
    )
    for fast in ("maskscale300",)
    for weak in ("lambda0", "lambda0.001")
}
variants = {**_lambda, **_scale, **_both}
