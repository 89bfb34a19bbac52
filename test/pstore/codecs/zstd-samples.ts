/**
 * Frames of libzstd 1.5.4, with the texts that went in: small, and with every kind of block, of literals and of table
 * between them. Pieces were flushed one by one, so that each has blocks of its own.
 */
import { Random } from '../../random.js'

/** Lines as a kernel logs them, after a title. */
export const log = (seed: number, lines: number): Buffer => {
  const random = new Random(seed)
  let text = 'Panic#1 Part1\n'
  for (let i = 0; i < lines; i++) {
    const second = String(i).padStart(5)
    text += `<${random.below(8)}>[${second}.${String(random.below(1e6)).padStart(6, '0')}] `
    const what = random.pick(['usb 1-1', 'eth0', 'ext4-fs', 'pci 0000:00:1f.2', 'systemd[1]'])
    const happened = random.pick(['link is up', 'new device', 'mounted', 'failed with', 'timeout'])
    text += `${what}: ${happened} ${random.below(5000)}\n`
  }
  return Buffer.from(text)
}

/** Letters, most of them near a. */
const skewed = (seed: number, length: number): Buffer => {
  const random = new Random(seed)
  return Buffer.from(
    Array.from(
      { length },
      () => 97 + Math.min(random.below(26), random.below(26), random.below(26)),
    ),
  )
}

const noise = (seed: number, length: number): Buffer => new Random(seed).bytes(length)

interface Sample {
  readonly name: string
  readonly text: Buffer
  readonly stream: Buffer
}

const sample = (name: string, text: Buffer | Buffer[], stream: string): Sample => ({
  name,
  text: Buffer.isBuffer(text) ? text : Buffer.concat(text),
  stream: Buffer.from(stream, 'base64'),
})

export const samples: readonly Sample[] = [
  sample(
    'log',
    log(1, 12),
    'KLUv/WAoAd0IACaSNiBQh7YNg2N0E3jFiMSaAq2oyFRm8bLdJHI3FmMgs7PBEDAALQAtACkldAgHLqycX+ipIF9e' +
      'fE+jMdzDxEkQ9hk0XJSyTAklRERDgFKQP4JDAQ+AcM2hEEpZsSFcQWPw0RrdNy/SKwjT/AlHAefBhZkxL0pVkGW9' +
      'yLTXPA0GJokST1JKUgONW6hqayLGFCQV656zj1ZSlqh47oFMW7hDApOkeA2XXrydSC0FuepknPpoA8i2Wm5gGO05' +
      'Bw4u15Wq0X91xrS5UTqnLlNrV6I+cz57E/H6OjoedBwGGADH6Mx9y2gsAR6GHvDSUxyA4RBbDMUcAIZjWEWlikbA' +
      'NtYwDqbKg2FWIIBTbhxMqcBEMPal9hpVo+Aa1B4=',
  ),
  sample(
    'log of flushed blocks',
    [log(2, 6), log(3, 6).subarray(14), log(4, 8).subarray(14)],
    'KLUv/QBYhAUAosskH1BnqwMDkYGIV/yhJw3X2soYOwwRbJRE0lGiCmYyQRgGqeWTbFNtqqqPhcVfL+XUJyX0xfwS' +
      'T6BExNsa+4Fl/qFjWenp5Yxiu5h5qYPWGaWML6cCJqJ8WxKj5QH8S51W+bByRlf6QUaDGyAiIskqM9Zn1UJ9A5TK' +
      'VCTe9CDh38FYMzr6/wIByZmVBQjhC1CICkIICQBywQwwVchRA5CShQcStXQQUBgWkCioUHt0AwCyxRAUoKXp+7M7' +
      'ZAC4cL1JSEtp0fvFGhi1KYPXjxWi6k3ejM8IQSX6s3P7euYpnzBewyEBBIQUGAppcGh6xMaoyji2tzARDwATczlg' +
      'xmcUh2FoMABQvjNNWEsAhVHuaroijIlOB+iCr5SZiBJmDV0EAHIGEhSwp9h3HAFEKkwPC22ZMske5GguBkRB9nZU' +
      'sep4aMaX8sludHm5tEuzuC+XjWRpXVSYV/Vdg4JBgWA4DgfA4NVshFfktJUJBBcAk6uaq5oe1gAso/x9NVYuEpgS' +
      'njAFMeXgZoQfbUFgcHA2hsORQvtLgIWh5YKICQsi2cE0XSyDBnIAeLVywRU=',
  ),
  sample(
    'checksum',
    log(5, 4),
    'KLUv/SS7PQQAwkgcGYBvA0DEAknJdwggmURew8T2Thm+UqKbGgHtOz4CCpEY3PPZ3p8vda1F95EotNJd05JZMjMv' +
      'VaiODN95nO1h99ZrYiJaV1pNAGvm3OzvGs4mOFynUmwXBqJJs5Kdyizy4Pu/4z0KYbauVWJsAwqVEiMHAAdDOa/C' +
      'HgAmGBoAXEsNLwDCiZccAg==',
  ),
  sample('short', log(6, 0), 'KLUv/SQOcQAAUGFuaWMjMSBQYXJ0MQoE2zqG'),
  sample('nothing', Buffer.alloc(0), 'KLUv/SQAAQAAmenYUQ=='),
  sample(
    'many literals',
    skewed(7, 1400),
    'KLUv/WB4BO0XACpVaAsXgCVpGxH9/826iUhoZXf3fpiBGZgB1gO0AKoAsAB0GkdZWQqhqvQpdePM8LmnZScBqhUk' +
      'LDKrMTLMTYyRNEbg+eMqJVZFdStsgsRiWhwlaYlXF41xXC/EOuoeHBXJNRgXkGjgheWK+qBfaSAz26n0tKRGMRKU' +
      'pJYysDvxqQM1467zITua3OIisvRV4JwyFKX6bnfXpVocqCoM0v4bsdmRNJ1GScck65AlyVQeIW9wJWFmmNRFMaDc' +
      'gLDbRuzOcFZCHttmGPUJqEEH+YK5FeYZrgNndg7hMf6tMzdgBT2giqJfpl7A+gi53KpX3ctlFZLfIpGk/q950KT0' +
      'ellWlRXTeLRinnnVpXeC+XS3KIINm2jYkvd2xF1Wlr4Pnp54D7ef/yYXnQcTiimIFDfiWtnJdq9E4tBdI7sXojFv' +
      'mvxdhxhd0MlHNkJr69iGumeTFdUvbpLIFhGOPMtyXctsH2p1Nrxo41Uv328BWK2UTbCICaocPWJpc6d3Z1TfPSeu' +
      'TEVHCSXZ3Yiu0yHIZA91N5SAMJuvzdYpjAjPIikTvYisWadSCjLExUP1p7qPFdRCHO8BN2oHuQygOMQCf8LHdVD8' +
      '53ZvSFhRFAifmikxkFdGZsjQXnsX1EyMmuOrd7avrHsiqzAH1V3xeRQXI5VCSbyItfJAw//D7zPi5dt60eU/16Uf' +
      'I/PGFfPLdeLUPa+IZjhdCAacyGeiuiCASQg0DOhuAqbbzJct46Q/qpcKToG37AwNGpRF9hWP+dB0+qYkHNGwOEcC' +
      'ifKFyxTjKIZWhFLprG5vdxFjlZD1DzKKiUsQiVaSY2clIfqUOLyrhT1n8rjN3eNcnZ222tK5hjIytjqg7MNlqWaD' +
      'gsifp8D4DlTpLRdoqrKBVf3h260L3IHnrAORD44lhnZHmlrFLM+FnFVVtIHBgyEjTk/isKiueSpMZ8RTH0v7hgXM' +
      'Epjs4j9yK1CZUB4iDCPnyxAFCQDH5KiN0BII1cQFikSGXxfH7mJxnTaTqpGsTrsWMA==',
  ),
  sample(
    'few literals',
    skewed(8, 100),
    'KLUv/SBkVQIAAoYQEsAlHa01sjfZm0iSdpKJAQDgvOQ4wboQUgfDeP3KTUIYGCxwHTKd1b+N/hjHhgrXv6aVAxGq' +
      'WnzCirEKMFQsrPniAQAimEs=',
  ),
  sample(
    'same literals in blocks',
    [skewed(9, 900), skewed(10, 700), skewed(11, 800)],
    'KLUv/QBIjA8ARnh7F5AlbQMIIITQN+smIhLZ3TsN/////yMIdQBxAHIAZXQFJeL+VzNXHsZWkJpN3CnR3X5IZ1GI' +
      'dqo8JMKlg0gY2aCYMEhZvrSajsbVGY4xMIWlqCbp8yKVAi3M3Qv1hMo5MyZKG65CaBYgifMcYLJlKeOHvVxRX+Mu' +
      'ITDQM/JnBNVr1lPpTLqA9whlsjBtcxmBAg0oFWb0lRMXXeunQn300auUkhh7Nrs989iA55UeaUymAZaFBLo2tBmL' +
      '3FuEqqeSiBPlFYJKpB5kz6uLxsnzAKPsbqIEJbvIJNIDcBcR0yiLgSoyhoR7+NoqQ+ZUR8bEnvGWVRClj6hEmFGZ' +
      'VpNcJRfV/RgHcfggplQ5CZU0IyaMeBmhKYaBeBF0CS+G0d9EWiMDzBlULX5xV9SWmq+ijAp3pH+w4knvcXDcahty' +
      'pY6wlIZZEEWTG7ilHZrsa80ocjddaZV+hi2LWZ/fO/jn5rsCMAke5zSNu7OxpLqthDD+Lra25nrZgkGtLOiHBKGb' +
      'G4j2hJqjA1sa4XW2RnriRKAmif+gIyscddDSGgC6PMt6RBJDUTk02/iAHIsmmMHjLTBajsJIYQNWv7xBzNWa7Lg9' +
      '0BhGpPozUFXxECdQEE44ANRMapslhwGV+3p/lZUoH+Di9d16ZCgWsHkIYQC0CwDHq1xeAFsAWQBiuAiVVouQcdgw' +
      'jlMATAAC9gaKxGEu9AZjEmAt6rXIF4Y4vmhrTbdYs4iC5Sgc8RlZkqH/xxIw/AplCR42irPyAVVnFmBsqYCI6TIq' +
      'zqAF9JiUKU8Fuhq3sRQOKjEBbYtJwD9hZ+ETpxarJFGODelaNForNuwgMgMARhonO5hqq1GgVEX3jTBwWeOxKz1N' +
      'p7BhQ8sR/HAsukSvqOPVaIg9X5hR4ACjhmBj/5owSiigEghAFV0O+02HFFZkn1rK5QNLxPANBNGJIle7dd3AVYww' +
      'wRbdWwMuRqbImmsBNgCoNmUTvV32JpailUAvM3YSDKEhKnh0O06NSt4GVkajUCkCysfJXl8O797LKKTTYGxPRlUO' +
      'A5siRl+mr5vHgUBw0Bvlf2bS0UGiVM8GvguT0TSAODKgGNfWMSmBoU51NO6DPkw+7PF/UsrgqIrrDtZZlXi2kT/a' +
      'UCDl2fv6ccONrlSjvRLIDICDb0l9ISpyAOUNAAYybhaQJW0DCCD0v1k3EQmt7N5p+P///x9BZABpAGUAN3qWaKAt' +
      'S4XIQkBb7QcKHw0aFmTG9dVA4VZRmXOTqGlkHEOM/lqr6TVUDNtf5OOI6wnZTtIvklQJLwn5949C51NL4f9A1EMx' +
      '7LLg6mndilPQcOH8WDKSCIeJjx2UZDEoa5AbE6SEGql/YMgj+grue90pH2WlSJGZt23RCYCyNCrRnku8+nbSCtMh' +
      'gL8omFcnoCDDYYUMCv1MDJ+AK7lrIUKppGlNyHfNAAT236eS8vlg4ShAJQGRBR4NLVeC1M/4bexY5curdKuqkDWD' +
      'SmXDZzy+in5iJY4IFA4KcZmlsbVAt+ZhkCRVu24mUXwjKrJ+547RExmrlxmdmCINsOw1t+pk2WAEqBJRgIB8rfOq' +
      'c3686w3gLPjAv3DZ3NWZXRqtlo4lmbI6JJKad/EIEr5INFnlbpoSc3AMCZ6eIFLYB3XoJHvOgV+M3KPHGuwpGAkS' +
      't5/MZnkCi1DS8QwAMV98afJeWMKhjBIG9YYAQ2S5h0/dRwWQJns5ERe1Y4IriOqXQyq2WKA8dsaUCEMMJGg/ApdP' +
      'cA1K2UTvsiCgAA==',
  ),
  sample(
    'noise, and a byte again and again',
    [noise(12, 100), Buffer.alloc(3000, 65), noise(12, 100)],
    'KLUv/QAAIAMASROU8CcDsqOOvAftU4O/p4jM/z1O5GNtPCFmDUVMUiubnkeHWD5mwCsEkoImGbRfJWBp2hG9Yzlq' +
      'D8EAB5iFc2svC4mQ88BAmcpJ9DTgJOMRQfc9fk2DZL8f84jm9xt4gzXbQgIgAEECIABBwh0AQSEDAEkTlPAnA7Kj' +
      'jrwH7VODv6eIzP89TuRjbTwhZg1FTFIrm55Hh1g+ZsArBJKCJhm0XyVgadoRvWM5ag/BAAeYhXNrLwuJkPPAQJnK' +
      'SfQ04CTjEUH3PX5Ng2S/H/OI5vcbeIM120I=',
  ),
  sample(
    'far',
    [
      noise(13, 40),
      Buffer.alloc(70_000, 'ab'),
      noise(13, 40),
      Buffer.alloc(70_000, 'cd'),
      noise(13, 40),
    ],
    'KLUv/aBYIwIA7AEAxAKQXBIMCQEXWo7ep8JKKo9dk50fpW+nVhq+ZxZQCg9K6l25OF1LswSHYWJjZAMAO+6cjjcj' +
      'dBm0FlHuylUAAAhjAgBBCSyDB1c=',
  ),
  sample('sized 300', Buffer.alloc(300, 'xyz'), 'KLUv/WAsAFUAABh4eXoBACaqbgg='),
  sample('sized 70000', Buffer.alloc(70_000, 'xyz'), 'KLUv/aRwEQEAXQAAGHh5egEAahHmbggQGpBZ'),
]
