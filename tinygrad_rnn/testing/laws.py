"""Laws that gradients obey."""
