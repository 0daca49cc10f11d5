"""Run in the folder of an Axon instance: makes users, given as lines of name and public key in JSON on standard input."""
import json
import os
import sys

sys.path.insert(0, os.getcwd())
os.environ["DJANGO_SETTINGS_MODULE"] = "axon_project.settings"
import django

django.setup()
from core.models import User

for name, pubkey in json.load(sys.stdin):
    User.objects.create_user(username=name, nickname=name, password=None, pubkey=pubkey)
print("{}")
