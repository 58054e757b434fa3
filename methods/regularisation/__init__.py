"""Weights or gradients are kept from leaving what earlier tasks need."""
