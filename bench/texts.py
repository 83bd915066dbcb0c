"""Passages of Arabic and Hindi to measure on, written for this; a number that counts up makes each another text."""

from __future__ import annotations

from itertools import cycle

ARABIC = (
    "اشترت سلمى {n} تفاحة من السوق يوم الاثنين، ثم أعطت صديقتها ليلى ثلث ما معها.",
    "وضع المعلم {n} كتابا على الرف الأول وضعف ذلك على الرف الثاني، فكم كتابا على الرفين معا؟",
    "يسير القطار بسرعة {n} كيلومترا في الساعة، ويصل إلى المدينة بعد أربع ساعات ونصف.",
    "في المزرعة {n} دجاجة تبيض كل واحدة منها بيضة في اليوم، ويبيع المزارع البيض في القرية.",
    "قرأ خالد {n} صفحة من الرواية في الصباح وعشرين صفحة في المساء، وبقيت له مئة صفحة.",
)
HINDI = (
    "सीता ने बाज़ार से {n} आम खरीदे और उनमें से आधे अपनी सहेली को दे दिए।",
    "एक विद्यालय में {n} विद्यार्थी हैं और हर कक्षा में तीस विद्यार्थी बैठते हैं, तो कुल कितनी कक्षाएँ हैं?",
    "रेलगाड़ी {n} किलोमीटर प्रति घंटे की गति से चलती है और पाँच घंटे में शहर पहुँचती है।",
    "किसान के पास {n} मुर्गियाँ हैं, जो प्रतिदिन एक-एक अंडा देती हैं; वह अंडे गाँव में बेचता है।",
    "राम ने सुबह पुस्तक के {n} पृष्ठ पढ़े और शाम को बीस पृष्ठ, अब सौ पृष्ठ शेष हैं।",
)


def written(sentences: tuple[str, ...], count: int, size: int) -> list[str]:
    """Passages of at least `size` characters, of whole sentences."""
    found: list[str] = []
    passage: list[str] = []
    for n, sentence in enumerate(cycle(sentences)):
        if len(found) == count:
            break
        passage.append(sentence.format(n=n))
        if sum(map(len, passage)) >= size:
            found.append(" ".join(passage))
            passage = []
    return found


FORMULAS = (
    r"\frac{a + b}{c - \sqrt{d^2 - 4}}",
    r"\sum_{k=1}^{n} \frac{1}{k^2} \le \frac{\pi^2}{6}",
    r"\int_0^{\infty} e^{-x^2}\,dx = \frac{\sqrt{\pi}}{2}",
    r"\left( \begin{array}{cc} \alpha & \beta \\ \gamma & \delta \end{array} \right)",
    r"f(x) = \begin{cases} x & x > 0 \\ -x & \text{otherwise} \end{cases}",
    r"\mathbf{v} \cdot \nabla \phi = \lim_{h \to 0} \frac{\phi(x + h v) - \phi(x)}{h}",
    r"\hat{H} \psi_n = E_n \psi_n, \quad n \in \mathbb{N}",
    r"x_{1,2} = -\frac{p}{2} \pm \sqrt{\left(\frac{p}{2}\right)^2 - q}",
)
TABLE = r"""\begin{tabular}{lrrr}
\toprule
\multirow{2}{*}{Method} & \multicolumn{2}{c}{Accuracy} & Time \\ \cmidrule(lr){2-3}
 & first & second & s \\ \midrule
Baseline & 12.34 & 56.78 & 0.91 \\
\rowcolor{gray!20} Larger & 23.45 & 67.89 & 1.82 \\
\textbf{Ours} & \textbf{34.56} & $78.9 \pm 0.1$ & 2.73 \\
\bottomrule
\end{tabular}"""
