"""What every segmentation run has, as MMSegmentation's own tools/train.py and tools/test.py expect it."""

default_scope = "mmseg"
custom_imports = dict(imports=["backbones.adapters.openmmlab"], allow_failed_imports=False)
default_hooks = dict(
    timer=dict(type="IterTimerHook"),
    logger=dict(type="LoggerHook", interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type="ParamSchedulerHook"),
    checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=3000, max_keep_ckpts=2),
    sampler_seed=dict(type="DistSamplerSeedHook"),
    visualization=dict(type="SegVisualizationHook"),
)
env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method="fork", opencv_num_threads=0),
    dist_cfg=dict(backend="nccl"),
)
# Over several GPUs all batch norms take the statistics of the whole batch; on one GPU or a CPU this does nothing.
sync_bn = "torch"
vis_backends = [dict(type="LocalVisBackend")]
visualizer = dict(type="SegLocalVisualizer", vis_backends=vis_backends, name="visualizer")
log_processor = dict(by_epoch=False)
randomness = dict(seed=0)
log_level = "INFO"
load_from = None
resume = False
