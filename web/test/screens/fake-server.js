// Runs inside the page, in place of the server: a WebSocket that follows
// docs/signaling.md and answers offers with a real RTCPeerConnection whose
// tracks are drawn here. `window.scenario` says what to answer; the run script
// pushes further messages through `window.fakeServer`.
(() => {
  const scenario = window.scenario;
  const sockets = new Set();
  let serverPeer = null;

  /** A head and shoulders before a wall, moving a little. */
  function person(hue) {
    const canvas = document.createElement('canvas');
    canvas.width = 640;
    canvas.height = 480;
    const g = canvas.getContext('2d');
    let n = 0;
    const draw = () => {
      const x = 320 + Math.sin(n++ / 20) * 14;
      const wall = g.createLinearGradient(0, 0, 640, 480);
      wall.addColorStop(0, `hsl(${hue} 22% 78%)`);
      wall.addColorStop(1, `hsl(${hue} 24% 58%)`);
      g.fillStyle = wall;
      g.fillRect(0, 0, 640, 480);
      g.fillStyle = `hsl(${hue + 40} 35% 32%)`;
      g.beginPath();
      g.ellipse(x, 500, 190, 170, 0, 0, 7);
      g.fill();
      g.fillStyle = '#d9a684';
      g.fillRect(x - 38, 280, 76, 80);
      g.beginPath();
      g.ellipse(x, 220, 84, 108, 0, 0, 7);
      g.fill();
      g.fillStyle = '#3b2a22';
      g.beginPath();
      g.ellipse(x, 150, 92, 62, 0, Math.PI, 0);
      g.fill();
      g.fillRect(x - 34, 214, 12, 8);
      g.fillRect(x + 22, 214, 12, 8);
      g.fillRect(x - 22, 268, 44, 5);
    };
    draw();
    setInterval(draw, 66);
    return canvas.captureStream(15).getVideoTracks()[0];
  }

  function screen() {
    const canvas = document.createElement('canvas');
    canvas.width = 1280;
    canvas.height = 720;
    const g = canvas.getContext('2d');
    let n = 0;
    setInterval(() => {
      g.fillStyle = '#fff';
      g.fillRect(0, 0, 1280, 720);
      g.fillStyle = '#13242d';
      g.font = '42px sans-serif';
      g.fillText('Blood pressure, 14 days', 60, 90);
      g.strokeStyle = '#0a6c74';
      g.lineWidth = 6;
      g.beginPath();
      for (let i = 0; i < 14; i++) g.lineTo(80 + i * 84, 420 - Math.sin(i * 1.3 + (n % 2) / 90) * 90 - i * 8);
      g.stroke();
      n++;
    }, 200);
    return canvas.captureStream(5).getVideoTracks()[0];
  }

  window.fakePerson = person;

  async function answer(sdp, fresh) {
    if (fresh) {
      serverPeer?.close();
      serverPeer = new RTCPeerConnection();
    }
    const pc = serverPeer;
    await pc.setRemoteDescription({ type: 'offer', sdp });
    const slots = [];
    let pending = null;
    for (const t of pc.getTransceivers()) {
      const section = sdp.split(/\r\nm=/).find((s) => s.includes(`a=mid:${t.mid}\r\n`));
      if (!section?.includes('a=recvonly')) continue;
      const kind = t.receiver.track.kind;
      if (kind === 'audio') {
        pending = t.mid;
        t.direction = 'sendonly';
        continue;
      }
      const who = (scenario.flows ?? [])[slots.length];
      t.direction = 'sendonly';
      if (who) await t.sender.replaceTrack(who.source === 'screen' ? screen() : person(who.hue ?? 200));
      slots.push({
        slot: slots.length,
        audio_mid: pending,
        video_mid: t.mid,
        participant_id: who?.participant_id ?? null,
        source: who?.source ?? null,
      });
    }
    await pc.setLocalDescription(await pc.createAnswer());
    if (pc.iceGatheringState !== 'complete') {
      await new Promise(
        (r) => (pc.onicegatheringstatechange = () => pc.iceGatheringState === 'complete' && r()),
      );
    }
    return { sdp: pc.localDescription.sdp, slots };
  }

  const seat = () => ({
    participant_id: 'prt_self',
    secret: 's',
    role: scenario.role ?? 'patient',
    session: scenario.session,
  });

  async function reply(m) {
    switch (m.type) {
      case 'join': {
        if (scenario.error && !m.take_over) {
          return {
            type: 'error',
            error: 'unauthorized',
            message: 'no',
            code: 401,
            fatal: true,
            reason: scenario.error,
            ...(scenario.note ? { note: scenario.note } : {}),
          };
        }
        if (scenario.waiting) return { type: 'waiting', ...seat(), waiting: scenario.waiting };
        const a = await answer(m.offer, true);
        return {
          type: 'joined',
          ...seat(),
          answer: a.sdp,
          slots: a.slots,
          participants: scenario.participants ?? [],
          chat: scenario.chat ?? [],
          queue: scenario.queue ?? [],
          ...(scenario.recording ? { recording: scenario.recording } : {}),
        };
      }
      case 'watch':
        if (scenario.error) {
          return {
            type: 'error',
            error: 'unauthorized',
            message: 'no',
            code: 401,
            fatal: true,
            reason: scenario.error,
          };
        }
        return {
          type: 'watching',
          doctor_id: 'd',
          doctor_name: scenario.session.doctor_name,
          tickets: scenario.queue ?? [],
          admitted: scenario.admitted ?? [],
          presence: scenario.presence ?? 'available',
          online: true,
        };
      case 'offer': {
        const a = await answer(m.offer, m.replace === true);
        return { type: 'answer', answer: a.sdp, slots: a.slots };
      }
      case 'message_all':
        return { type: 'ack', count: scenario.queue?.length ?? 0 };
      case 'transfer':
        return {
          type: 'error',
          error: 'conflict',
          message: 'no',
          code: 409,
          fatal: false,
          reason: 'open_consultation',
        };
      case 'consent':
      case 'record':
        if (scenario.refuse) {
          return {
            type: 'error',
            error: 'conflict',
            message: 'no',
            code: 503,
            fatal: false,
            reason: scenario.refuse,
          };
        }
        return { type: 'ack' };
      case 'chat':
      case 'reason':
      case 'admit':
      case 'end':
      case 'message':
      case 'reorder':
      case 'send_back':
      case 'decline':
      case 'presence':
        return { type: 'ack' };
      case 'ping':
        return { type: 'pong' };
    }
    return null;
  }

  class FakeWebSocket {
    static OPEN = 1;
    readyState = 0;
    constructor() {
      sockets.add(this);
      setTimeout(() => {
        if (window.fakeServer.down) return this.drop(1006);
        this.readyState = 1;
        this.onopen?.();
      }, 10);
    }
    async send(text) {
      const m = JSON.parse(text);
      window.fakeServer.received.push(m);
      const r = await reply(m);
      if (r) this.deliver({ ...r, ...(m.id ? { id: m.id } : {}) });
    }
    deliver(m) {
      this.onmessage?.({ data: JSON.stringify(m) });
    }
    drop(code) {
      this.readyState = 3;
      sockets.delete(this);
      this.onclose?.({ code });
    }
    close() {
      this.readyState = 3;
      sockets.delete(this);
    }
  }

  window.WebSocket = FakeWebSocket;
  window.fakeServer = {
    down: false,
    received: [],
    push: (m) => sockets.forEach((s) => s.deliver(m)),
    drop: () => [...sockets].forEach((s) => s.drop(1006)),
    /** No picture is sent any more. */
    freeze: () => serverPeer?.getSenders().forEach((s) => s.track?.kind === 'video' && s.replaceTrack(null)),
    stopMedia: () => serverPeer?.close(),
  };

  if (scenario.camera) {
    navigator.mediaDevices.getUserMedia = async (want) => {
      if (scenario.camera !== 'person') throw new DOMException(scenario.cameraMessage ?? '', scenario.camera);
      const stream = new MediaStream();
      if (want.video) stream.addTrack(person(28));
      if (want.audio) {
        const context = new AudioContext();
        const tone = context.createOscillator();
        const out = context.createMediaStreamDestination();
        const gain = context.createGain();
        gain.gain.value = 0.12;
        tone.connect(gain).connect(out);
        tone.start();
        stream.addTrack(out.stream.getAudioTracks()[0]);
      }
      return stream;
    };
    navigator.mediaDevices.getDisplayMedia = async () => new MediaStream([screen()]);
  }
})();
