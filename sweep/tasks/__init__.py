"""Where tasks come from: the embedded world, or folders of images."""
