"""Super-resolution: enlargement as MATLAB does it, luminance, and the measures of quality."""
