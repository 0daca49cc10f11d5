"""Run in the folder of an Axon instance: gives it boards, applets with code, scores and shared state, through Axon's own models."""
import json
import os
import sys

sys.path.insert(0, os.getcwd())
os.environ["DJANGO_SETTINGS_MODULE"] = "axon_project.settings"
import django

django.setup()
from django.utils import timezone
from applets.models import Applet, AppletCategory, AppletSharedState, HighScore
from core.models import User
from core.services.bitsync_service import BitSyncService
from messaging.models import MessageBoard

service = BitSyncService()
alice = User.objects.get(username="alice")
games = AppletCategory.objects.create(name="Games")
MessageBoard.objects.create(name="general")
events = MessageBoard.objects.create(name="events", required_access_level=20)
for name, size in (("Pipe Dodger", 600_000), ("Pipe_Dodger", 1000), ("Tea/Time ü", 262_144)):
    code = {"type": "applet_code", "name": name, "code": "x" * size}
    _, manifest = service.create_encrypted_content(code)
    Applet.objects.create(name=name, description="about " + name, owner=alice, code_manifest=manifest, category=games, event_board=events)
dodger = Applet.objects.get(name="Pipe Dodger")
HighScore.objects.create(applet=dodger, owner_pubkey=alice.pubkey, owner_nickname="alice", score=4200, wins=3, last_updated=timezone.now())
AppletSharedState.objects.create(applet_id=str(dodger.id), room_id="lobby", state_data={"messages": []}, version=12)
print(json.dumps({"dodger": str(dodger.id)}))
