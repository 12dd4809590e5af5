"""What every classification run has: bf16 with channels_last, masks, checkpoints that survive a crash, a curve."""

val_cfg = dict()
test_cfg = dict()
default_hooks = dict(
    runtime_info=dict(type="DeferredRuntimeInfoHook"),
    logger=dict(type="LoggerHook", interval=100),
    checkpoint=dict(type="AtomicCheckpointHook", keep=2),
)
custom_hooks = [
    dict(type="VersatileMaskHook", weight=0.1, mask_lr_scale=30.0),
    dict(type="DistributedHook"),
    dict(type="CompileHook"),
    dict(type="StopOnDivergenceHook"),
    dict(type="CurveHook"),
]
optim_wrapper = dict(
    type="AutocastOptimWrapper",
    dtype="bfloat16",
)
# On a GPU, cuDNN tries its convolutions once and takes the fastest: shapes are the same in all iterations.
env_cfg = dict(cudnn_benchmark=True)
randomness = dict(seed=0)
default_scope = "mmengine"
log_level = "INFO"
work_dir = "work_dirs/default"
