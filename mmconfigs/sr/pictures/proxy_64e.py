"""What set5/proxy-64e trains, tested on a folder of your own pictures (--data is the folder itself).

Command:          slimbench test pictures/proxy-64e/vdsr22 --checkpoint FILE --data FOLDER
Expected time:    on two CPU cores, a minute for each megapixel
Expected metric:  PSNR and SSIM of luminance at x2, x3 and x4, bicubic's beside the network's
"""

_base_ = ["./paper.py"]

protocol = dict(
    name="proxy-64e",
    proxy=True,
    description="a folder of the user's pictures, tested with a network of set5/proxy-64e",
    weights_of="set5/proxy-64e",
)
variants = dict(_delete_=True)
