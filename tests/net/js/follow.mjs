// Follows a network's blocks with js-libp2p: `node follow.mjs ADDRESS NETWORK_ID COUNT`.
// Prints one JSON line a thing that happened, and ends after COUNT blocks.
import { createHash } from 'node:crypto'
import { gossipsub } from '@libp2p/gossipsub'
import { identify } from '@libp2p/identify'
import { noise } from '@chainsafe/libp2p-noise'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@chainsafe/libp2p-yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { decode, encode } from 'cborg'

const [address, networkId, count] = process.argv.slice(2)
const topic = `/hansa/${networkId}/blocks/1`
const tell = (what) => console.log(JSON.stringify(what))
const number = (bytes) => Number(BigInt('0x' + Buffer.from(bytes).toString('hex')))

const node = await createLibp2p({
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  services: {
    identify: identify(),
    ping: ping(),
    pubsub: gossipsub({ globalSignaturePolicy: 'StrictSign', allowPublishToZeroTopicPeers: true })
  }
})

const seen = new Set()
node.services.pubsub.addEventListener('message', ({ detail }) => {
  if (detail.topic !== topic) return
  const [items, certificate] = decode(detail.data)
  for (const [header, payload] of items) {
    // A header is twenty words of 32 bytes; the fourth is the height.
    const height = number(header.subarray(96, 128))
    if (seen.has(height)) continue
    seen.add(height)
    tell({ event: 'block', height, header: createHash('sha256').update(header).digest('hex'), payload: payload.length })
  }
  tell({ event: 'certificate', kind: certificate[0], epoch: certificate[1], view: certificate[2], signed: detail.type })
  if (seen.size >= Number(count)) done()
})
const done = () => node.stop().then(() => process.exit(0))

node.addEventListener('peer:identify', ({ detail }) => {
  tell({ event: 'identify', peer: detail.peerId.toString(), protocols: detail.protocols })
})
const connection = await node.dial(multiaddr(address))
tell({ event: 'dial', peer: connection.remotePeer.toString(), encryption: connection.encryption, multiplexer: connection.multiplexer })
tell({ event: 'ping', ms: await node.services.ping.ping(multiaddr(address)) })

// A request: four bytes of length, then [from height, limit, with batches]; the answer likewise.
const request = encode([1, 2, 0])
const stream = await connection.newStream('/hansa/blocks/1')
const head = Buffer.alloc(4)
head.writeUInt32BE(request.length)
stream.send(Buffer.concat([head, request]))
let answer = Buffer.alloc(0)
for await (const chunk of stream) {
  answer = Buffer.concat([answer, chunk.subarray()])
  if (answer.length >= 4 && answer.length >= 4 + answer.readUInt32BE(0)) break
}
const [history] = decode(answer.subarray(4))
tell({ event: 'history', heights: history.map(([header]) => number(header.subarray(96, 128))) })
stream.abort(new Error('enough'))

node.services.pubsub.subscribe(topic)
tell({ event: 'ready' })
setTimeout(() => { tell({ event: 'timeout' }); process.exit(1) }, 150000)
