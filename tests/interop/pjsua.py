"""A telephone by PJSIP: says a tone, keeps what it hears, and does as it is told.

usage: pjsua.py SETTINGS, a file of JSON. It reads commands line by line and tells what happens on
standard output, a line each: `ready`, `registered STATUS`, `incoming CALL`, `call CALL STATE
STATUS`, `media CALL`, `held CALL`, `replaced CALL`, `transfer CALL STATUS`, `error TEXT`.
"""

import json
import select
import sys

import pjsua2 as pj

# States of calls by the names that are told.
STATES = {
    pj.PJSIP_INV_STATE_CALLING: "calling",
    pj.PJSIP_INV_STATE_INCOMING: "incoming",
    pj.PJSIP_INV_STATE_EARLY: "early",
    pj.PJSIP_INV_STATE_CONNECTING: "connecting",
    pj.PJSIP_INV_STATE_CONFIRMED: "confirmed",
    pj.PJSIP_INV_STATE_DISCONNECTED: "disconnected",
}
SRTP = {
    "off": pj.PJMEDIA_SRTP_DISABLED,
    "optional": pj.PJMEDIA_SRTP_OPTIONAL,
    "required": pj.PJMEDIA_SRTP_MANDATORY,
}
TRANSPORTS = {
    "udp": pj.PJSIP_TRANSPORT_UDP,
    "tcp": pj.PJSIP_TRANSPORT_TCP,
    "tls": pj.PJSIP_TRANSPORT_TLS,
}


def tell(*words):
    print(*words, flush=True)


class Call(pj.Call):
    def __init__(self, phone, call_id=pj.PJSUA_INVALID_ID):
        super().__init__(phone.account, call_id)
        self.phone = phone
        self.number = phone.add(self)
        self.recorder = None

    def onCallState(self, _prm):
        info = self.getInfo()
        tell("call", self.number, STATES.get(info.state, "?"), info.lastStatusCode)

    def onCallMediaState(self, _prm):
        active = False
        # What the binding gives lives no longer than what it is part of.
        info = self.getInfo()
        for index, media in enumerate(info.media):
            if media.type != pj.PJMEDIA_TYPE_AUDIO:
                continue
            if media.status == pj.PJSUA_CALL_MEDIA_ACTIVE:
                audio = self.getAudioMedia(index)
                self.phone.voice.startTransmit(audio)
                if self.recorder is None:
                    self.recorder = pj.AudioMediaRecorder()
                    folder = self.phone.settings["folder"]
                    self.recorder.createRecorder(f"{folder}/heard-{self.number}.wav")
                audio.startTransmit(self.recorder)
                active = True
        tell("media" if active else "held", self.number)

    def onCallReplaced(self, prm):
        tell("replaced", self.number)
        # The binding wants an object for the call that takes the place of this one.
        if prm.newCallId != pj.PJSUA_INVALID_ID:
            prm.newCall = Call(self.phone, prm.newCallId)

    def onCallTransferRequest(self, prm):
        prm.newCall = Call(self.phone)

    def onCallTransferStatus(self, prm):
        tell("transfer", self.number, prm.statusCode)


class Account(pj.Account):
    def __init__(self, phone):
        super().__init__()
        self.phone = phone

    def onRegState(self, prm):
        tell("registered", prm.code)

    def onIncomingCall(self, prm):
        call = Call(self.phone, prm.callId)
        tell("incoming", call.number)
        answer = pj.CallOpParam()
        answer.statusCode = 200
        call.answer(answer)


class Phone:
    def __init__(self, settings):
        self.settings = settings
        self.calls = []
        self.endpoint = pj.Endpoint()
        self.endpoint.libCreate()
        config = pj.EpConfig()
        config.uaConfig.threadCnt = 0
        config.uaConfig.mainThreadOnly = True
        config.uaConfig.userAgent = "PJSUA2"
        config.logConfig.level = 5
        config.logConfig.consoleLevel = 0
        config.logConfig.filename = f"{settings['folder']}/log"
        config.medConfig.clockRate = 8000
        config.medConfig.sndClockRate = 8000
        config.medConfig.noVad = True
        config.medConfig.ecTailLen = 0
        self.endpoint.libInit(config)
        transport = pj.TransportConfig()
        transport.port = settings["port"]
        transport.boundAddress = settings["address"]
        transport.publicAddress = settings["address"]
        if "authority" in settings:
            transport.tlsConfig.CaListFile = settings["authority"]
            transport.tlsConfig.verifyServer = True
        self.endpoint.transportCreate(TRANSPORTS[settings["transport"]], transport)
        self.endpoint.audDevManager().setNullDev()
        self.endpoint.libStart()
        codecs = self.endpoint.codecEnum2()
        for codec in codecs:
            wanted = codec.codecId.startswith(settings["codec"])
            self.endpoint.codecSetPriority(codec.codecId, 200 if wanted else 0)
        self.voice = pj.AudioMediaPlayer()
        self.voice.createPlayer(f"{settings['folder']}/say.wav")
        self.account = self.open_account()

    def open_account(self):
        settings = self.settings
        config = pj.AccountConfig()
        config.idUri = settings["identity"]
        media = config.mediaConfig
        media.transportConfig.port = settings["rtp"]
        media.transportConfig.portRange = 8
        media.transportConfig.boundAddress = settings["address"]
        media.transportConfig.publicAddress = settings["address"]
        media.srtpUse = SRTP[settings["srtp"]]
        media.srtpSecureSignaling = 0
        if "registrar" in settings:
            config.regConfig.registrarUri = settings["registrar"]
            config.regConfig.timeoutSec = 60
            user, password = settings["user"], settings["password"]
            config.sipConfig.authCreds.append(pj.AuthCredInfo("digest", "*", user, 0, password))
        if "proxy" in settings:
            config.sipConfig.proxies.append(settings["proxy"])
        account = Account(self)
        account.create(config)
        return account

    def add(self, call):
        self.calls.append(call)
        return len(self.calls) - 1

    def do(self, line):
        """Carries out a command."""
        word, *rest = line.split()
        options = pj.CallOpParam(True)
        if word == "call":
            Call(self).makeCall(rest[0], options)
        elif word == "hold":
            self.calls[int(rest[0])].setHold(options)
        elif word == "resume":
            options.opt.flag = pj.PJSUA_CALL_UNHOLD
            self.calls[int(rest[0])].reinvite(options)
        elif word == "transfer":
            self.calls[int(rest[0])].xfer(rest[1], options)
        elif word == "join":
            self.calls[int(rest[0])].xferReplaces(self.calls[int(rest[1])], options)
        elif word == "hangup":
            self.calls[int(rest[0])].hangup(options)
        else:
            raise ValueError(line)

    def run(self):
        tell("ready")
        while True:
            self.endpoint.libHandleEvents(10)
            if not select.select([sys.stdin], [], [], 0)[0]:
                continue
            line = sys.stdin.readline()
            if line.strip() in ("", "quit"):
                return
            try:
                self.do(line)
            except Exception as error:
                tell("error", line.strip(), str(error).replace("\n", " "))

    def close(self):
        self.endpoint.hangupAllCalls()
        for _ in range(20):
            self.endpoint.libHandleEvents(10)
        # The files of what was heard are complete when their recorders are gone.
        self.calls.clear()
        self.voice = None
        self.endpoint.libDestroy()


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        phone = Phone(json.load(file))
    phone.run()
    phone.close()


main()
