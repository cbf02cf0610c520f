"""Prepare data, train, export and measure. The only package that imports TensorFlow; the app never imports it."""
