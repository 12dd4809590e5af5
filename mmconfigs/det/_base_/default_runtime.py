"""What every detection run has, as MMDetection's own tools/train.py and tools/test.py expect it."""

default_scope = "mmdet"
custom_imports = dict(imports=["backbones.adapters.openmmlab"], allow_failed_imports=False)
default_hooks = dict(
    timer=dict(type="IterTimerHook"),
    logger=dict(type="LoggerHook", interval=50),
    param_scheduler=dict(type="ParamSchedulerHook"),
    checkpoint=dict(type="CheckpointHook", interval=1, max_keep_ckpts=2),
    sampler_seed=dict(type="DistSamplerSeedHook"),
    visualization=dict(type="DetVisualizationHook"),
)
env_cfg = dict(
    cudnn_benchmark=False,  # the size of images changes with every batch
    mp_cfg=dict(mp_start_method="fork", opencv_num_threads=0),
    dist_cfg=dict(backend="nccl"),
)
# No `sync_bn`: the papers' detectors train no batch norm, and MMDetection's ResLayer (`norm_eval`) would not know its own
# once they are SyncBatchNorm, and let them collect statistics.
vis_backends = [dict(type="LocalVisBackend")]
visualizer = dict(type="DetLocalVisualizer", vis_backends=vis_backends, name="visualizer")
log_processor = dict(type="LogProcessor", window_size=50, by_epoch=True)
randomness = dict(seed=0)
log_level = "INFO"
load_from = None
resume = False
