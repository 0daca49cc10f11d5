"""A visitor of a running Axon: URL, then `register NAME`, `save NAME APPLET TEXT`, `load NAME APPLET`, or `hammer NAME APPLET FILE`,
which saves until the file is there. Prints JSON."""
import http.cookiejar
import json
import os
import sys
import urllib.request

url, what, name, *rest = sys.argv[1:]
opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()), urllib.request.ProxyHandler({}))
password = "correct horse " + name


def ask(path, body=None, token=None):
    request = urllib.request.Request(url + path, headers={"Content-Type": "application/json"})
    if token:
        request.add_header("Authorization", "Bearer " + token)
    data = None if body is None else json.dumps(body).encode()
    with opener.open(request, data, timeout=60) as answer:
        text = answer.read()
    return json.loads(text) if text else None


if what == "register":
    questions = {"security_question_1": "a?", "security_answer_1": "a", "security_question_2": "b?", "security_answer_2": "b"}
    print(json.dumps(ask("/api/register/", {"username": name, "nickname": name, "password": password, **questions})))
else:
    token = ask("/api/token/", {"username": name, "password": password})["access"]
    path = "/api/applets/" + rest[0] + "/data/"
    if what == "hammer":
        saves = 0
        while not os.path.exists(rest[1]):
            # Three times the same content, which overwrites chunks in place.
            ask(path, {"text": "save %d" % (saves // 3)}, token)
            saves += 1
        print(json.dumps(saves))
        sys.exit()
    print(json.dumps(ask(path, {"text": rest[1]} if what == "save" else None, token)))
